package main

import (
	"os"
)

func main() {
	if err := os.WriteFile("/tmp/x", make([]byte, 5<<20), 0o600); err != nil {
		panic(err)
	}
}
