"""Pictures, folders and videos: predictions drawn and written."""
