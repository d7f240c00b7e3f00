"""Object stores: what a URL names, who asks, and one protocol over all of them."""

from hyperplane.stores.location import Location
from hyperplane.stores.objects import ObjectInfo, ObjectStore, Reading

__all__ = ["Location", "ObjectInfo", "ObjectStore", "Reading"]
