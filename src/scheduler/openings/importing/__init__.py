"""Import of openings: facilities, doctors, rules, exceptions and closures as rows."""
