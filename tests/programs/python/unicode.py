print("Grüße, 世界 🚀 ñ")
