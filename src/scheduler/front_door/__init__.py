"""Front door: `Scheduler`, and the repositories of a unit of work, through which hosts read and write."""
