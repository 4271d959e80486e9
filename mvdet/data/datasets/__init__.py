"""Data sets: records of images and objects, and the formats that they are read from."""
