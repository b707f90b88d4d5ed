"""Tables of the schema `placement`: clients in care, what is known about them, and its authors."""
