# escape: layers=wall verdict=TLE cause=tle_wall_judge wall_ms=400
import time
time.sleep(1.2)
print("ESCAPED")
