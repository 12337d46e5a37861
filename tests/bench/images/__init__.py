"""What an image costs: how long its start takes, and what each megabyte of it is.

Rooms: `start` (rounds of containers), `sizes` (what a build wrote down, and the peers that it is
held against), `report` (the page).
"""
