"""Speech, scored: words, speakers, emotions of voices."""
