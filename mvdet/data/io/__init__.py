"""Files on disk: pictures, masks, annotations of every format, and what becomes of faulty ones."""
