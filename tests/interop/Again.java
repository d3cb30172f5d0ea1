// Runs a program again and again in one virtual machine, whose start costs more than most runs: a line on standard
// input holds the program's arguments with tabs between them. After what the program prints comes "\u0004" and either
// "done" or "failed"; a failed program has told why on standard error.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;

public class Again {
    public static void main(String[] arguments) throws Exception {
        Method program = Class.forName(arguments[0]).getMethod("main", String[].class);
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = asked.readLine(); line != null; line = asked.readLine()) {
            String end = "done";
            try {
                program.invoke(null, (Object) line.split("\t", -1));
            } catch (InvocationTargetException failed) {
                failed.getCause().printStackTrace();
                end = "failed";
            }
            System.out.println("\u0004" + end);
            System.out.flush();
        }
    }
}
