"""What kills of the station process leave behind of orders, judged by those who gave and who got them."""
