"""Recordings over HTTP: listened to and labelled in the background, played, corrected and fetched."""
