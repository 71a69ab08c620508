"""The whole node on virtual time: production's council, jobs, upkeep and brain in one world."""
