"""The page: narrations in a browser, with their progress, their text and what should be listened to; it only reads.

Knows nothing of how narrations are made. What it needs beyond the base install is in the extra `page`.
"""
