"""Data sets: readers, writers and the generated `shapes` set. Import the module you need; this file imports nothing."""
