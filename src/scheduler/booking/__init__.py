"""Booking: the search for visits in the tables, their holds and bookings."""
