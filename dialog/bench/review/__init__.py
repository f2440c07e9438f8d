"""`rapport bench review`: which of recurrence, attention and gates helps in which task (Heidenreich et al. 2024)."""
