open("/box/x", "w")
