"""Where the systems are and how they are reached: discovery, addresses, security, the check of a configuration."""
