"""Files of sequence and regions become packed token ids."""
