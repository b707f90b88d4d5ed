"""Booking: visits that are searched, held, booked and followed."""
