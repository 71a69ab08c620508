"""AdminService, one file for each thing that operators do."""
