// veraPDF's judgement of each PDF named on the command line: "FILE FLAVOUR yes|no CLAUSE-TEST,CLAUSE-TEST…".
// FLAVOUR is what is asked of all of them (3b, ua1, …), or "own" for what each says it is ("none" if it says nothing).

import java.io.FileInputStream;
import java.util.TreeSet;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

public class CheckPdfA {
    public static void main(String[] arguments) throws Exception {
        VeraGreenfieldFoundryProvider.initialise();
        for (int i = 1; i < arguments.length; i++) {
            try (FileInputStream file = new FileInputStream(arguments[i]);
                    PDFAParser parser = arguments[0].equals("own")
                            ? Foundries.defaultInstance().createParser(file)
                            : Foundries.defaultInstance().createParser(file, PDFAFlavour.byFlavourId(arguments[0]))) {
                PDFAFlavour flavour = parser.getFlavour();
                if (flavour == PDFAFlavour.NO_FLAVOUR) {
                    System.out.println(arguments[i] + "\tnone\tno\t");
                    continue;
                }
                PDFAValidator validator = Foundries.defaultInstance().createValidator(flavour, false);
                ValidationResult result = validator.validate(parser);
                TreeSet<String> broken = new TreeSet<>();
                for (TestAssertion each : result.getTestAssertions()) {
                    if (each.getStatus() == TestAssertion.Status.FAILED) {
                        broken.add(each.getRuleId().getClause() + "-" + each.getRuleId().getTestNumber());
                    }
                }
                System.out.println(arguments[i] + "\t" + flavour.getId() + "\t"
                        + (result.isCompliant() ? "yes" : "no") + "\t" + String.join(",", broken));
            }
        }
    }
}
