"""The documented protocol: packets, callback URLs, signatures, outcomes, and checks of both sides."""
