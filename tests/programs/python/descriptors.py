f = []
while True:
    f.append(open("/dev/null"))
