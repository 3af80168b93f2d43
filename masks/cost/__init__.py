"""What a mask costs in pairs of rows and blocks, and how much measured similarity it shows."""
