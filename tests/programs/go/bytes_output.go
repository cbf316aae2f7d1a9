package main

import (
	"os"
)

func main() {
	os.Stdout.Write([]byte{'a', 0, 'b', 255, 254, 0xc3, '(', 0x80, 'z', 10})
}
