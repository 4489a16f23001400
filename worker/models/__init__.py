"""Models: which files a checkpoint needs, how it is loaded, and whether its audio carries the watermark."""
