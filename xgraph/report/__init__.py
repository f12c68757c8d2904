"""What the commands show: tables for people, plain data for programs."""
