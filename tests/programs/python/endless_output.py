while True:
    print("y" * 60)
