setTimeout(() => console.log("late"), 60000);
