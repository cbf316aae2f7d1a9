console.log(1 / 0);
