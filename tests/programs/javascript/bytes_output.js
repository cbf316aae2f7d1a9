process.stdout.write(Buffer.from([97, 0, 98, 255, 254, 0xc3, 40, 0x80, 122, 10]));
