"""What a context gives to a job, one file each; facets never import each other."""
