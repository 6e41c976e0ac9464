"""One file per revision, in a line; a released revision is never changed."""
