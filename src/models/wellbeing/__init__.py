"""Tables of the schema `wellbeing`: organisations and their people, and what children do."""
