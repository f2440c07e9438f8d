"""The Recording tab: what was said in a sound file, by whom and how."""
