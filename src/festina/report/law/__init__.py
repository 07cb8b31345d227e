"""What regulators ask for, made from the record: law as data, documents whose every field has a source, clocks."""
