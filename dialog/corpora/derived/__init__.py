"""What is made from corpora by fixed rules: questions, statements, strays, and the parts that may not be trained on."""
