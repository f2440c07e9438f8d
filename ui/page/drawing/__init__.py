"""What several tabs draw: labels, people, the timeline."""
