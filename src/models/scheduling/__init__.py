"""Tables of the schema `scheduling`, one module a concept: places, services, availability, slots, appointments."""
