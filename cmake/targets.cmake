# rustbox_lib(NAME sources... LINK libs...): a static library of this tree.
function(rustbox_lib name)
    cmake_parse_arguments(A "" "" "LINK" ${ARGN})
    add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PUBLIC ${A_LINK})
endfunction()

# rustbox_program(NAME sources... LINK libs...): a program, placed in <build>/bin.
function(rustbox_program name)
    cmake_parse_arguments(A "" "" "LINK" ${ARGN})
    add_executable(${name} ${A_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PRIVATE ${A_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
endfunction()

# Programs whose verdicts depend on the clock run while no other test does (ctest -j).
function(rustbox_alone name label)
    if(label STREQUAL programs)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

# ops/test runs a test in both builds, unless it is named here: `release` when sanitizers have nothing to look at or change
# what it measures, `sanitized` when the build makes no other difference. By hand, ctest runs every test in either.
function(rustbox_once build)
    foreach(name ${ARGN})
        set_property(TEST ${name} APPEND PROPERTY LABELS once_${build})
    endforeach()
endfunction()

# rustbox_test(NAME LABEL label [TIMEOUT s] sources... LINK libs...): a cmocka test program under ctest.
# Labels: unit, component, integration, escape, fault, fuzz.
function(rustbox_test name)
    cmake_parse_arguments(A "" "LABEL;TIMEOUT" "LINK" ${ARGN})
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 60)
    endif()
    add_executable(${name} ${A_UNPARSED_ARGUMENTS})
    target_link_libraries(${name} PRIVATE ${A_LINK} PkgConfig::CMOCKA)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS ${A_LABEL} TIMEOUT ${A_TIMEOUT} SKIP_RETURN_CODE 77)
    rustbox_alone(${name} ${A_LABEL})
endfunction()

# rustbox_script_test(NAME LABEL label [TIMEOUT s] COMMAND ...): a script under ctest; exit 77 = skipped, with the reason printed.
# The script finds the build in $RUSTBOX_BUILD.
function(rustbox_script_test name)
    cmake_parse_arguments(A "" "LABEL;TIMEOUT" "COMMAND" ${ARGN})
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 60)
    endif()
    add_test(NAME ${name} COMMAND ${A_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS ${A_LABEL} TIMEOUT ${A_TIMEOUT} SKIP_RETURN_CODE 77
        ENVIRONMENT RUSTBOX_BUILD=${PROJECT_BINARY_DIR})
    rustbox_alone(${name} ${A_LABEL})
endfunction()
