/* escape: layers=fresh runs=3 */
package main

import (
	"fmt"
	"os"
)

func main() {
	if _, err := os.Stat("/dev/shm/left"); err == nil {
		fmt.Println("ESCAPED")
		return
	}
	os.WriteFile("/dev/shm/left", []byte("left"), 0644)
	os.Exit(1)
}
