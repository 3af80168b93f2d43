"""A mask as a union of disjoint tiles: rectangles of attention that kernels compute at once."""
