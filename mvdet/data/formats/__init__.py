"""How data sets lie on disk, a file for each format: where a folder's images and annotations are, by split."""
