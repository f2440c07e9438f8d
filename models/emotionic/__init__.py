"""EmotionIC: emotions of a conversation from what each speaker carries on and what they catch from the others."""
