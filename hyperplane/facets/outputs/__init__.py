"""`ctx.outputs`: files that are kept, whole or not at all, wherever the job runs."""

from hyperplane.facets.outputs.facet import Outputs, seal_run
from hyperplane.journal import Sealed

__all__ = ["Outputs", "Sealed", "seal_run"]
