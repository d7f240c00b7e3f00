"""Files that are kept: walked without following links, sealed whole, found again as they were sealed."""
