console.log("Grüße, 世界 🚀 ñ");
